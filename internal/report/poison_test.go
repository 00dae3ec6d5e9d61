package report

import "reflect"

// poison sets every string that v points to, except where it is a key or a
// number's text.
func poison(v any, attack string) { poisonValue(reflect.ValueOf(v).Elem(), attack) }

func poisonValue(v reflect.Value, attack string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(attack)
	case reflect.Pointer:
		if !v.IsNil() {
			copied := reflect.New(v.Type().Elem())
			copied.Elem().Set(v.Elem())
			v.Set(copied)
			poisonValue(copied.Elem(), attack)
		}
	case reflect.Slice:
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		if !v.IsNil() {
			v.Set(copied)
		}
		for i := range v.Len() {
			poisonValue(v.Index(i), attack)
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String && !v.IsNil() {
			copied := reflect.MakeMap(v.Type())
			for _, k := range v.MapKeys() {
				element := reflect.New(v.Type().Elem()).Elem()
				element.Set(v.MapIndex(k))
				poisonValue(element, attack)
				copied.SetMapIndex(reflect.ValueOf(k.String()+attack).Convert(v.Type().Key()), element)
			}
			v.Set(copied)
		}
	case reflect.Interface:
		if s, ok := v.Interface().(string); ok {
			v.Set(reflect.ValueOf(s + attack))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type().Field(i).IsExported() {
				poisonValue(f, attack)
			}
		}
	}
}
