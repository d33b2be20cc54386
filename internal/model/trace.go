package main

import (
	"fmt"
	"io"
	"strings"
)

// printTrace tells the story of a trace, one step a line.
func (m *model) printTrace(w io.Writer, trace []step) {
	var s state
	for n, want := range trace {
		found := false
		before := s
		m.successors(&before, func(via step, t *state, _ violation) {
			if via == want && !found {
				s, found = *t, true
				m.reduce(&s)
			}
		})
		if !found {
			panic("a trace that cannot be replayed")
		}
		_, _ = fmt.Fprintf(w, "  %3d  %s\n", n+1, m.describe(want, &before, &s))
	}
}

func (m *model) describe(v step, before, after *state) string {
	i := int(v.actor)
	if v.act == collectorDeletes || v.act == putArrivesAgain {
		whose := fmt.Sprint("worker's life ", i+1)
		if v.arg != shared {
			whose = before.label(i)
		}
		if v.act == collectorDeletes {
			return fmt.Sprintf("a collector deletes the %s of %s by a HEAD that it read some time", objectNames[v.arg], whose)
		}
		return fmt.Sprintf("a copy of the request that uploads the %s of %s arrives", objectNames[v.arg], whose)
	}
	who, a := m.names[i], before.actors[i]
	switch v.act {
	case losesHead:
		return "HEAD is lost"
	case damagesHead:
		return "HEAD is damaged; its version stays"
	case lists:
		return who + " lists the manifests"
	case listsNoGarbage:
		return who + " lists the manifests; what collectors may delete is gone by then"
	case listsAndSends:
		return who + " lists the packs and sends a new HEAD: " + after.describe(after.actors[i].own)
	case gets:
		return fmt.Sprintf("%s gets an object of %s that it needs", who, before.label(int(a.target)-1))
	case misses:
		return fmt.Sprintf("%s asks for an object of %s, which is not there", who, before.label(int(a.target)-1))
	case asksHead:
		return who + " reads HEAD to see why"
	case joins:
		return fmt.Sprintf("%s joins %s, as it was assigned", who, before.label(int(v.arg)))
	case joinsByHead:
		return fmt.Sprintf("%s joins %s, and reads its base in HEAD", who, before.label(int(v.arg)))
	case shareArrives:
		return who + " has uploaded its share and hands over its handle"
	case takesHandle:
		return fmt.Sprintf("%s takes handle %d, of %s", who, v.arg+1, m.names[m.workers[v.arg]])
	}
	o, _ := m.current(before, i)
	what := opNames[o.kind]
	told := ""
	if after.actors[i].step != a.step {
		told = fmt.Sprintf("; its %s has ended", what)
		if o.kind == commit || o.kind == saveOnce {
			told = fmt.Sprintf("; its caller is told of %s: %s", before.label(o.save), after.saves[o.save].result)
		}
	}
	switch v.act {
	case starts, startsFull:
		if o.kind == read {
			return fmt.Sprintf("%s begins to read %s", who, after.label(int(after.actors[i].target)-1))
		}
		if o.kind == repair {
			return who + " finds no HEAD that it can read"
		}
		if o.kind == commit || o.kind == saveOnce {
			base := "in full"
			if b := after.saves[o.save].base; b != 0 {
				base = "against " + after.label(int(b)-1)
			}
			return fmt.Sprintf("%s begins a save, %s, %s", who, after.label(o.save), base)
		}
		return fmt.Sprintf("%s reads HEAD and sends: %s", who, what)
	case dataArrives:
		return fmt.Sprintf("%s has uploaded the data of %s%s", who, before.label(o.save), told)
	case manifestArrives:
		return fmt.Sprintf("%s has uploaded the manifest of %s and sends its commit%s", who, before.label(o.save), told)
	case aborts:
		return who + " aborts its save" + told
	case swapArrivesLate:
		return fmt.Sprintf("the store applies the %s of %s, by whose clock all leases have expired: %s", what, who, after.describeHead())
	case swapArrives:
		return fmt.Sprintf("the store applies the %s of %s: %s", what, who, after.describeHead())
	case okArrives:
		return who + " hears yes" + told
	case looks:
		if told == "" {
			told = ", finds that it has moved, and sends again on the new version: " + what
		}
		return who + " gets no clear answer, reads HEAD" + told
	case givesUp:
		return who + " gives up" + told
	case hearsRefusal:
		return who + " hears 412 for one copy of its request" + told
	case hearsNothing:
		return who + " hears nothing in time" + told
	case lateArrives:
		return fmt.Sprintf("a request that %s gave up on arrives, and the store applies it: %s", who, after.describeHead())
	}
	return fmt.Sprint(v)
}

// label names a save by its number in the model and the (epoch, checkpoint) in its objects' names.
func (s *state) label(k int) string {
	return fmt.Sprintf("save %c (%d, %d)", 'A'+k, s.saves[k].epoch, s.saves[k].number)
}

func (s *state) describeHead() string { return s.describe(s.head) }

func (s *state) describe(h head) string {
	var kept []string
	for k := range s.saves {
		if h.retained.has(k) {
			kept = append(kept, string(rune('A'+k)))
		}
	}
	out := fmt.Sprintf("HEAD epoch %d, last %d, retains {%s}", h.epoch, s.number(h.last), strings.Join(kept, " "))
	if h.tag != 0 {
		out += fmt.Sprintf(", tags %c", 'A'+h.tag-1)
	}
	for _, l := range h.leases {
		if l != 0 {
			out += fmt.Sprintf(", leases %c", 'A'+l-1)
		}
	}
	if h.removed {
		out += ", removed"
	}
	return out
}
