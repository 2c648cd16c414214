//go:build !linux

package poller

import (
	"sync"

	"github.com/carillon-go/carillon/internal/crew"
)

// Poller is used on systems without epoll, where every quiet connection has a goroutine. Safe
// for concurrent use.
type Poller struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Conn]
}

type parking struct{}

// New returns a poller. running counts its readers.
func New(running *sync.WaitGroup) *Poller {
	return &Poller{running, crew.New(running, (*Conn).serve)}
}

func (p *Poller) add(*Conn) bool { return false }

func (p *Poller) wake(*Conn) {}
