package client

import "testing"

// An invocation that was taken just before the end of its run comes too late to start an upload,
// which nobody would wait for.
func TestNoUploadAfterTheEnd(t *testing.T) {
	var u uploads
	ran := make(chan struct{}, 1)
	u.start(func() { ran <- struct{}{} })
	u.end()
	<-ran
	u.start(func() { t.Error("started") })
	u.running.Wait()
}
