package main

// typed is an error with the name of a .NET exception, which detailed errors include.
type typed struct{ name, text string }

func (e typed) Error() string     { return e.text }
func (e typed) ErrorType() string { return e.name }

func invalidOperation(text string) error { return typed{"InvalidOperationException", text} }

var nullReference = typed{"NullReferenceException", "Object reference not set to an instance of an object."}
