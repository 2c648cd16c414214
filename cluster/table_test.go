package cluster

import (
	"strconv"
	"testing"
)

// A full table forgets its oldest entries.
func TestTable(t *testing.T) {
	t.Parallel()
	const limit = 10
	table := newTable[int](limit)
	for i := range limit {
		table.put(strconv.Itoa(i), i+1)
		table.put(strconv.Itoa(i), i) // replaces the entry
	}
	if table.hasEvicted() || table.get("9") != 9 {
		t.Error("an entry is missing")
	}
	table.remove("0") // makes no room in the order of age
	for i := limit; i < 5*limit; i++ {
		table.put(strconv.Itoa(i), i)
		if oldest := i - limit; len(table.entries) > limit || table.get(strconv.Itoa(i)) != i || oldest > 0 && table.get(strconv.Itoa(oldest)) != 0 {
			t.Fatalf("%d: %v", i, table.entries)
		}
	}
	if !table.hasEvicted() || len(table.order) != limit {
		t.Errorf("%v", table.order)
	}
}
