package engine

import (
	"fmt"
	"reflect"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// frame is the memory of one command's parameters on one TPM: reflection finds the fields once, and each run uses them again. It
// is zeroed after each run: what a command keeps of its input it copies.
type frame struct{ in, out parameters }

// parameters are a command's input or output: the handles, then the parameters.
type parameters struct {
	pointer any           // to the struct
	value   reflect.Value // the struct
	fields  []codable     // in order
}

func newParameters(of reflect.Type) parameters {
	pointer := reflect.New(of)
	p := parameters{pointer: pointer.Interface(), value: pointer.Elem()}
	for i := range of.NumField() {
		p.fields = append(p.fields, field(p.value.Field(i).Addr().Interface()))
	}
	return p
}

// field makes a parameter codable, if it is not already: an integer.
func field(pointer any) codable {
	switch p := pointer.(type) {
	case *uint8:
		return (*octet)(p)
	case *uint16:
		return (*word)(p)
	case *uint32:
		return (*handle)(p)
	case *uint64:
		return (*long)(p)
	case codable:
		return p
	}
	panic(fmt.Sprintf("engine: a parameter of type %T cannot be coded", pointer))
}

type (
	octet uint8
	word  uint16
	long  uint64
)

func (v *octet) code(c *coder)  { c.u8((*uint8)(v)) }
func (v *word) code(c *coder)   { c.u16((*uint16)(v)) }
func (h *handle) code(c *coder) { c.u32((*uint32)(h)) }
func (v *long) code(c *coder)   { c.u64((*uint64)(v)) }

// frameOf is the memory for a command.
func (t *TPM) frameOf(cmd *command) *frame {
	f := &t.memory.frames[cmd.cc-ccFirst]
	if *f == nil {
		*f = &frame{newParameters(cmd.input), newParameters(cmd.output)}
	}
	return *f
}

// forget leaves nothing of a run for the next one, and no secrets where they are not looked for.
func (f *frame) forget() {
	f.in.value.SetZero()
	f.out.value.SetZero()
}

// run decodes the parameters, calls the function and encodes what it returns.
func (x *execution) run(t *TPM) error {
	f := t.frameOf(x.command)
	defer f.forget()
	if err := x.decode(t, f.in.fields); err != nil {
		return err
	}
	output, err := x.call(t, f.in.pointer)
	if err != nil {
		return err
	}
	if given := reflect.ValueOf(output); !given.IsNil() {
		f.out.value.Set(given.Elem())
	}
	x.encode(f.out.fields)
	return nil
}

// decode fills the fields of a command's input. Errors carry the number of the parameter.
func (x *execution) decode(t *TPM, fields []codable) error {
	for i, h := range x.handles {
		*fields[i].(*handle) = h
	}
	x.in = *wire.BE(x.params)
	c := &x.coder
	*c = coder{r: &x.in, maxRSA: t.profile.MaxRSA}
	for i, f := range fields[len(x.handles):] {
		f.code(c)
		if err := c.err(); err != nil {
			return err.(rc).param(i + 1)
		}
	}
	if c.r.Len() != 0 {
		return rcSize
	}
	return nil
}

// encode writes the response's handle, if it has one, and its parameters.
func (x *execution) encode(fields []codable) {
	c := &x.coder
	*c = coder{w: &x.out}
	if x.returns {
		fields[0].code(c)
		fields = fields[1:]
	}
	if x.tag == stSessions {
		x.out.U32(0) // the size of the parameters
	}
	x.answered = x.out.Len()
	for _, f := range fields {
		f.code(c)
	}
}
