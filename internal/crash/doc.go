// Package crash is for tests of what a process leaves behind that dies at the worst moment. It runs a program under ptrace(2), which needs no privilege and
// no tool, and stops it before and after each system call that changes a file: [Run]. There the program can be killed. [Disk] watches the same calls
// and tells what a power cut at that moment may leave, where nothing is sure to survive but what was synced. Linux only.
package crash
