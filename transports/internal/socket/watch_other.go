//go:build !linux

package socket

import (
	"sync"

	"github.com/carillon-go/carillon/internal/crew"
)

// Watch is used on systems without epoll, where every quiet socket has a goroutine. Safe for
// concurrent use.
type Watch struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Socket]
}

type watched struct{}

// NewWatch returns a watch. running counts the goroutines of its sockets.
func NewWatch(running *sync.WaitGroup) *Watch {
	return &Watch{running, crew.New(running, (*Socket).serve)}
}

func (w *Watch) add(*Socket) bool { return false }

func (w *Watch) wake(*Socket) {}
