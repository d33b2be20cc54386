package checkpoint

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	minBudget = 16 << 20
	// smallBudget keeps a process that has 31 MiB of code in memory, as importing this module costs, below 64 MiB while it saves; and its packs are large
	// enough (6.3 MiB) for 1 % of 1 GiB to travel in one.
	smallBudget = 28 << 20
	// fullBudget makes packs of 16 MiB, three of them: more makes nothing faster on two processors. Half as many requests as smallBudget needs, and two and a half
	// times as many bytes on their way while a distant store has not answered.
	fullBudget = 64 << 20
	// besideBudget is what a process has beside its budget: code, the heap, stacks.
	besideBudget = 36 << 20
)

// defaultBudget is the budget of a store that was given none.
func defaultBudget() int64 {
	group, err := memlimit.FromCgroup()
	if err != nil || group > math.MaxInt64 {
		group = math.MaxInt64 // there is no limit, or none that can be found out
	}
	return budgetWithin(debug.SetMemoryLimit(-1), int64(group))
}

// budgetWithin fits a budget to the limit of Go's heap and that of the control group; math.MaxInt64 is none. Packs do not lie in the heap, so whoever set a limit for it alone
// has meant a process of about that size: half of it is for packs, and what smallBudget needs is taken in any case.
func budgetWithin(heap, group int64) int64 {
	return min(fullBudget, max(smallBudget, heap/2), max(minBudget, group-besideBudget))
}
