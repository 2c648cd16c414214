// Package contract is the contract of the dashboard.
package contract

import (
	"context"
	"time"
)

//go:generate go tool -modfile=../../../tools/gen.mod carillon-gen -hub DashboardHub -client Dashboard

// DashboardHub has the methods that clients may invoke. A page that listens to the event
// stream needs none of them.
type DashboardHub interface {
	// Latest returns the samples that a newcomer is shown.
	Latest(ctx context.Context) ([]Sample, error)
}

// Dashboard has the methods that every client implements.
type Dashboard interface {
	// Show shows samples, which follow those that were shown before.
	Show(ctx context.Context, samples []Sample) error
}

// Sample is one measurement of the worker.
type Sample struct {
	At         time.Time `json:"at"`
	Goroutines int       `json:"goroutines"`
	HeapMiB    float64   `json:"heapMiB"`
	Clients    int       `json:"clients"`
}
