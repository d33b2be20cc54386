package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// served are the methods whose cases have to pass: everything on objects, and what buckets the server has.
var served = []string{
	"storage.buckets.delete", "storage.buckets.get", "storage.buckets.insert", "storage.buckets.list",
	"storage.objects.compose", "storage.objects.delete", "storage.objects.get", "storage.objects.insert", "storage.objects.list",
	"storage.objects.patch", "storage.objects.rewrite", "storage.objects.download", "storage.resumable.upload",
}

// left are those on objects that have no case over HTTP, and why.
var left = map[string]string{
	"storage.objects.copy":      "the client copies by rewrite",
	"storage.objects.update":    "the client patches",
	"storage.appendable.upload": "the client appends over gRPC only",
}

// readCases reads the client's list and returns what the names of the cases begin with that have to be run: the client
// has one or more ways to call each method, and numbers them.
func readCases(file string) ([]string, error) {
	var list struct {
		RetryTests []struct {
			ID    int `json:"id"`
			Cases []struct {
				Instructions []string `json:"instructions"`
			} `json:"cases"`
			Methods []struct{ Name, Group string } `json:"methods"`
		} `json:"retryTests"`
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the client's list of cases: %w", err)
	}
	var wanted []string
	for _, test := range list.RetryTests {
		for _, one := range test.Cases {
			for _, method := range test.Methods {
				name := method.Name
				if method.Group != "" {
					name = method.Group
				}
				if !slices.Contains(served, name) {
					if strings.HasPrefix(method.Name, "storage.objects.") && left[name] == "" {
						return nil, fmt.Errorf("%s is new on the client's list of cases: serve it, or say why not", name)
					}
					continue
				}
				wanted = append(wanted, fmt.Sprintf("http-%d-%s-%s-", test.ID, fmt.Sprint(one.Instructions), name))
			}
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("there is no case in %s", file)
	}
	return wanted, nil
}

// judge compares what was wanted with what became of the cases, pass, fail or skip by name.
func judge(wanted []string, outcomes map[string]string) (passed int, problems []string) {
	for name, outcome := range outcomes {
		if outcome == "pass" {
			passed++
		} else {
			problems = append(problems, outcome+": "+name)
		}
	}
	for _, prefix := range wanted {
		// go test writes the blanks of a name as underscores.
		prefix = strings.ReplaceAll(prefix, " ", "_")
		ran := false
		for name := range outcomes {
			ran = ran || strings.HasPrefix(name, prefix)
		}
		if !ran {
			problems = append(problems, "not run: "+prefix)
		}
	}
	slices.Sort(problems)
	return passed, problems
}
