// Package soak is the load and the judge of an endurance test: stream jobs that save, lose their owners and recover, readers and those who clean up
// beside them, and a referee that knows what every acknowledged checkpoint must contain. Package bench runs it in processes of their own, with faults, and
// makes the report.
//
// Nothing of the state is stored for comparison: the state of a job is a function of the seed, the job and a step (see [State]), each try of a
// save has a step of its own, and the step lies in the checkpoint's metadata. What is restored is compared with that function bit for bit.
package soak
