package hub

import "testing"

func TestInboxKeepsAPartialRecord(t *testing.T) {
	var i inbox
	all, seen := i.joinLocked([]byte("one;tw"))
	if string(all) != "one;tw" || seen != 0 {
		t.Errorf("%q, %d seen", all, seen)
	}
	i.keepLocked(all[4:], all)
	all, seen = i.joinLocked([]byte("o"))
	if string(all) != "two" || seen != 2 {
		t.Errorf("%q, %d seen", all, seen)
	}
	i.keepLocked(all, all) // still partial
	all, seen = i.joinLocked([]byte(";"))
	if string(all) != "two;" || seen != 3 {
		t.Errorf("%q, %d seen", all, seen)
	}
	i.keepLocked(nil, all)
	if all, seen = i.joinLocked([]byte("x")); string(all) != "x" || seen != 0 {
		t.Errorf("%q, %d seen after a complete record", all, seen)
	}
}

func TestInboxLimitsTheBacklog(t *testing.T) {
	var i inbox
	if !i.hasRoomLocked(maxBacklog + 1) {
		t.Error("no room for one read in an empty inbox")
	}
	i.appendLocked(make([]byte, maxBacklog-1))
	if !i.hasRoomLocked(1) || i.hasRoomLocked(2) {
		t.Error("the limit is another one")
	}
	if n := len(i.takeBacklogLocked()); n != maxBacklog-1 || len(i.partial) != 0 {
		t.Errorf("%d bytes of backlog", n)
	}
}

func TestInboxKeepsNoLargeBuffer(t *testing.T) {
	var i inbox
	i.appendLocked(make([]byte, maxIdleInput+1))
	i.forget()
	if cap(i.partial) != 0 {
		t.Errorf("a buffer of %d bytes is kept", cap(i.partial))
	}
}
