package demo

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestPlan(t *testing.T) {
	const records = 20_000
	moments := map[moment]int{}
	for seed := range uint64(200) {
		for n := range 8 {
			plan := planKills(rand.New(rand.NewPCG(seed, 0)), n, records, true)
			if again := planKills(rand.New(rand.NewPCG(seed, 0)), n, records, true); !reflect.DeepEqual(plan, again) {
				t.Fatalf("seed %d gave %v and %v", seed, plan, again)
			}
			if len(plan) != n || n > 0 && commitKills(plan) == 0 || n >= 3 && commitKills(plan) == n {
				t.Fatalf("seed %d: %v", seed, plan)
			}
			sides := map[moment]bool{}
			for i, k := range plan {
				sides[k.at] = true
				moments[k.at]++
				if k.after < records*firstKill || k.after > records*lastKill || i > 0 && k.after < plan[i-1].after {
					t.Fatalf("seed %d: %v", seed, plan)
				}
			}
			if n >= 3 && len(sides) != 3 {
				t.Fatalf("seed %d does not kill at every kind of moment: %v", seed, plan)
			}
			outside := planKills(rand.New(rand.NewPCG(seed, 0)), n, records, false)
			for _, k := range outside {
				if k.at == beforeCommit || k.at == afterCommit {
					t.Fatalf("seed %d, a store that is not embedded: %v", seed, outside)
				}
			}
			if commitKills(outside) != commitKills(plan) {
				t.Fatalf("seed %d: %v and %v", seed, outside, plan)
			}
		}
	}
	for _, at := range []moment{atAnyTime, beforeCommit, afterCommit} {
		if moments[at] < 100 {
			t.Errorf("%d kills %s", moments[at], at)
		}
	}
}
