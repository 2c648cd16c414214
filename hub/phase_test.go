package hub

import (
	"runtime"
	"testing"
)

func TestPhaseNeverGoesBack(t *testing.T) {
	var l lifecycle
	l.startDraining()
	l.stopReceiving()
	if p := l.Load(); p != handshaking {
		t.Errorf("phase %d before the handshake", p)
	}
	if !l.answerHandshake(open, func() {}) || !l.isReceiving() {
		t.Error("not open after the handshake")
	}
	l.startDraining()
	if p := l.Load(); p != draining || !l.isReceiving() {
		t.Errorf("phase %d while draining", p)
	}
	l.stopReceiving()
	l.startDraining()
	if p := l.Load(); p != finishing || l.isReceiving() {
		t.Errorf("phase %d after the last message", p)
	}
	if was := l.startClosing(); was != finishing {
		t.Errorf("closing after phase %d", was)
	}
	l.stopReceiving()
	if was := l.startClosing(); was != closing {
		t.Errorf("closing again after phase %d", was)
	}
	if l.answerHandshake(open, func() { t.Error("a handshake is answered after the end") }) {
		t.Error("a closed session opens")
	}
}

func TestPhaseIsKnownAfterTheHandshakeResponse(t *testing.T) {
	var l lifecycle
	was := make(chan phase, 1)
	l.answerHandshake(connecting, func() {
		go func() { was <- l.startClosing() }()
		runtime.Gosched() // it waits for the response
		if len(was) > 0 {
			t.Error("the session closes before its handshake response")
		}
	})
	if p := <-was; p != connecting {
		t.Errorf("closing after phase %d", p)
	}
}
