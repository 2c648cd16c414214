package hubfile

import "reflect"

// Reload returns the settings of a hub that runs, with those of next that a reload applies. Of the
// settings that differ it returns the paths of the keys: those that a reload applies, and those
// that need a restart.
func Reload(running, next Hub) (effective Hub, changed, restart []string) {
	effective = running
	r := reloader{}
	r.fields(join(HubsKey, running.Name), reflect.ValueOf(&effective).Elem(), reflect.ValueOf(&next).Elem())
	return effective, r.changed, r.restart
}

type reloader struct{ changed, restart []string }

// fields changes the fields of a struct to those of next, as far as a reload may.
func (r *reloader) fields(path string, v, next reflect.Value) {
	for f := range fieldsOf(v.Type()) {
		at, from, to := join(path, f.Tag.Get("key")), v.FieldByIndex(f.Index), next.FieldByIndex(f.Index)
		isSwitch := f.Tag.Get("reload") == "set" && from.IsZero() != to.IsZero()
		switch {
		case reflect.DeepEqual(from.Interface(), to.Interface()):
		case f.Type.Kind() == reflect.Struct:
			r.fields(at, from, to)
		case f.Type.Kind() == reflect.Pointer && !from.IsNil() && !to.IsNil():
			own := reflect.New(f.Type.Elem()) // the running settings do not change
			own.Elem().Set(from.Elem())
			from.Set(own)
			r.fields(at, own.Elem(), to.Elem())
		case f.Tag.Get("reload") == "" || isSwitch:
			r.restart = append(r.restart, at)
		default:
			from.Set(to)
			r.changed = append(r.changed, at)
		}
	}
}
