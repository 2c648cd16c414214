//go:build !linux

package socket

import (
	"sync"

	"github.com/carillon-go/carillon/internal/crew"
)

// Watch is for systems on which each resting socket has a goroutine. Safe for concurrent use.
type Watch struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Socket]
}

type watched struct{}

// NewWatch returns a watch whose sockets' goroutines are counted in running.
func NewWatch(running *sync.WaitGroup) *Watch {
	return &Watch{running, crew.New(running, (*Socket).serve)}
}

func (w *Watch) add(*Socket) bool { return false }

func (w *Watch) rouse(*Socket) {}
