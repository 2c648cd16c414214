package hubfile

import "slices"

// Nearest returns the name among known that is most similar to a name, for advice about a typing
// error. known must not be empty.
func Nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return Distance(name, a) - Distance(name, b) })
}

// maxCompared is the length of the texts that Distance compares, in bytes.
const maxCompared = 100

// Distance is the number of letters to insert, remove or replace to turn one text into the other.
// Of long texts it compares the beginnings.
func Distance(a, b string) int {
	a, b = a[:min(len(a), maxCompared)], b[:min(len(b), maxCompared)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := above
			if a[i] != b[j] {
				replaced++
			}
			above = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
