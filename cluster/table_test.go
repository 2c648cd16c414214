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
	for i := limit; i < 5*limit; i++ {
		table.put(strconv.Itoa(i), i)
		if oldest := i - limit; len(table.entries) > limit || table.get(strconv.Itoa(i)) != i || table.get(strconv.Itoa(oldest)) != 0 {
			t.Fatalf("%d: %v", i, table.entries)
		}
	}
	if !table.hasEvicted() || len(table.order) > 2*limit {
		t.Errorf("%v", table.order)
	}
}

// Removed entries take no room, not even of a table in which one old entry stays.
func TestRemovedEntriesTakeNoRoom(t *testing.T) {
	t.Parallel()
	const limit = 10
	table := newTable[int](limit)
	table.put("old", 1)
	for i := range 100 * limit {
		table.put(strconv.Itoa(i), 1)
		table.put("again", 1)
		table.remove(strconv.Itoa(i), "again")
	}
	if table.get("old") != 1 || table.hasEvicted() || len(table.entries) != 1 || len(table.order) > 2*limit+1 {
		t.Errorf("%v, %v", table.entries, table.order)
	}
}
