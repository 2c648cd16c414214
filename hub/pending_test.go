package hub

import (
	"errors"
	"strconv"
	"testing"
)

func always() bool { return true }
func never() bool  { return false }

func TestPendingResultsAreTakenOnce(t *testing.T) {
	var p pendingResults
	q := &pendingResult{}
	if err := p.add("1", q, always); err != nil { // the first one has room
		t.Fatal(err)
	}
	if p.take("2") != nil || p.take("1") != q || p.take("1") != nil {
		t.Error("a result is not taken once by its id")
	}
}

func TestPendingResultsAreLimited(t *testing.T) {
	var p pendingResults
	for i := range maxResults {
		if err := p.add(strconv.Itoa(i), &pendingResult{}, never); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.add("x", &pendingResult{}, never); !errors.Is(err, errTooManyResults) {
		t.Errorf("one more than the limit: %v", err)
	}
	p.take("0")
	if err := p.add("x", &pendingResult{}, always); !errors.Is(err, errTooManyResults) {
		t.Errorf("another one while the connections hold too much: %v", err)
	}
	if err := p.add("x", &pendingResult{}, never); err != nil {
		t.Errorf("below the limit: %v", err)
	}
}

func TestPendingResultsClose(t *testing.T) {
	var p pendingResults
	_ = p.add("1", &pendingResult{}, never)
	if open := p.close(); len(open) != 1 {
		t.Errorf("%d results were open", len(open))
	}
	if err := p.add("2", &pendingResult{}, never); !errors.Is(err, errEnded) {
		t.Errorf("added after the end: %v", err)
	}
	if p.take("1") != nil || len(p.close()) != 0 {
		t.Error("a result is left")
	}
}
