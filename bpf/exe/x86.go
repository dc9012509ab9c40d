package exe

// amd64Len returns the length of an instruction in 64-bit mode, or 0 if the bytes are not an
// instruction. It knows the encoding formats (Intel's manual, volume 2, appendix A), not the
// individual instructions, so it also handles vector extensions. A test compares it with objdump.
func amd64Len(code []byte) int {
	d := amd64Decoder{code: code}
	for d.prefix() {
	}
	n := d.opcode()
	if d.short || n > 15 {
		return 0
	}
	return n
}

type amd64Decoder struct {
	code            []byte
	at              int
	short           bool // the bytes ended too early
	data16, address bool // prefixes 66 and 67
	rexW            bool
}

func (d *amd64Decoder) next() byte {
	if d.at >= len(d.code) {
		d.short = true
		return 0
	}
	d.at++
	return d.code[d.at-1]
}

func (d *amd64Decoder) peek() byte {
	if d.at >= len(d.code) {
		d.short = true
		return 0
	}
	return d.code[d.at]
}

func (d *amd64Decoder) prefix() bool {
	switch d.peek() {
	case 0x66:
		d.data16 = true
	case 0x67:
		d.address = true
	case 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65:
	default:
		return false
	}
	d.at++
	return !d.short
}

// word returns the size in bytes of an immediate that has the operand size, which is at most four.
func (d *amd64Decoder) word() int {
	if d.data16 && !d.rexW {
		return 2
	}
	return 4
}

// opcode reads what follows the prefixes, and returns the length of the whole instruction.
func (d *amd64Decoder) opcode() int {
	if b := d.peek(); b >= 0x40 && b <= 0x4f {
		d.rexW = b&8 != 0
		d.at++
	}
	switch op := d.next(); op {
	case 0x0f:
		return d.twoByte()
	case 0xc5: // vectors, short form
		d.next()
		return d.vector(1)
	case 0xc4:
		m := d.next() & 0x1f
		d.next()
		return d.vector(m)
	case 0x62:
		m := d.next() & 7
		d.next()
		d.next()
		return d.vector(m)
	default:
		return d.oneByte(op)
	}
}

// vector reads the opcode and operands after a vector prefix. m is the opcode map.
func (d *amd64Decoder) vector(m byte) int {
	op := d.next()
	if m == 1 && op == 0x77 { // vzeroupper
		return d.at
	}
	d.modRM()
	if m == 3 || m == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		d.at++
	}
	return d.at
}

func (d *amd64Decoder) oneByte(op byte) int {
	switch {
	case op < 0x40:
		switch op & 7 {
		case 0, 1, 2, 3:
			d.modRM()
		case 4:
			d.at++
		case 5:
			d.at += d.word()
		default: // pushes of segments, not in this mode
			return 0
		}
	case op >= 0x50 && op <= 0x5f, op >= 0x6c && op <= 0x6f, op >= 0x90 && op <= 0x99, op >= 0x9b && op <= 0x9f,
		op >= 0xa4 && op <= 0xa7, op >= 0xaa && op <= 0xaf, op == 0xc3, op == 0xc9, op == 0xcb, op == 0xcc, op == 0xcf, op == 0xd7,
		op >= 0xec && op <= 0xef, op == 0xf1, op == 0xf4, op == 0xf5, op >= 0xf8 && op <= 0xfd:
	case op == 0x63, op >= 0x84 && op <= 0x8f, op >= 0xd0 && op <= 0xd3, op >= 0xd8 && op <= 0xdf, op == 0xfe, op == 0xff:
		d.modRM()
	case op == 0x6b, op == 0x80, op == 0x83, op == 0xc0, op == 0xc1, op == 0xc6:
		d.modRM()
		d.at++
	case op == 0x69, op == 0x81, op == 0xc7:
		d.modRM()
		d.at += d.word()
	case op == 0xf6, op == 0xf7:
		if reg := d.modRM() >> 3 & 7; reg < 2 {
			if op == 0xf6 {
				d.at++
			} else {
				d.at += d.word()
			}
		}
	case op == 0x6a, op >= 0x70 && op <= 0x7f, op == 0xa8, op >= 0xb0 && op <= 0xb7, op == 0xcd, op >= 0xe0 && op <= 0xe7, op == 0xeb:
		d.at++
	case op == 0x68, op == 0xa9:
		d.at += d.word()
	case op == 0xe8, op == 0xe9:
		d.at += 4
	case op >= 0xb8 && op <= 0xbf:
		if d.rexW {
			d.at += 8
		} else {
			d.at += d.word()
		}
	case op >= 0xa0 && op <= 0xa3:
		if d.address {
			d.at += 4
		} else {
			d.at += 8
		}
	case op == 0xc2, op == 0xca:
		d.at += 2
	case op == 0xc8:
		d.at += 3
	default:
		return 0
	}
	return d.at
}

func (d *amd64Decoder) twoByte() int {
	switch op := d.next(); {
	case op == 0x38:
		d.next()
		d.modRM()
	case op == 0x3a, op == 0x0f:
		if op == 0x3a {
			d.next()
		}
		d.modRM()
		d.at++
	case op >= 0x05 && op <= 0x09, op == 0x0b, op == 0x0e, op >= 0x30 && op <= 0x37, op == 0x77, op >= 0xa0 && op <= 0xa2,
		op >= 0xa8 && op <= 0xaa, op >= 0xc8 && op <= 0xcf:
	case op >= 0x80 && op <= 0x8f:
		d.at += 4
	case op >= 0x70 && op <= 0x73, op == 0xa4, op == 0xac, op == 0xba, op == 0xc2, op >= 0xc4 && op <= 0xc6:
		d.modRM()
		d.at++
	case op == 0x04, op == 0x0a, op == 0x0c, op >= 0x24 && op <= 0x27, op == 0x36:
		return 0
	default:
		d.modRM()
	}
	return d.at
}

// modRM reads the ModRM byte, and skips the memory address that follows it.
func (d *amd64Decoder) modRM() byte {
	m := d.next()
	mod, rm := m>>6, m&7
	if mod == 3 {
		return m
	}
	if rm == 4 {
		if sib := d.next(); mod == 0 && sib&7 == 5 {
			d.at += 4
		}
	} else if mod == 0 && rm == 5 {
		d.at += 4
	}
	switch mod {
	case 1:
		d.at++
	case 2:
		d.at += 4
	}
	return m
}
