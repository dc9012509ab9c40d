package kbtf

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// contextTypes maps the context types that programs use to the types that the kernel has in their
// place (include/linux/bpf_types.h).
var contextTypes = map[string]string{
	"__sk_buff": "sk_buff", "xdp_md": "xdp_buff", "bpf_sock_addr": "bpf_sock_addr_kern", "bpf_sock_ops": "bpf_sock_ops_kern", "sk_msg_md": "sk_msg",
	"bpf_sock": "sock", "bpf_sysctl": "bpf_sysctl_kern", "bpf_sockopt": "bpf_sockopt_kern", "sk_reuseport_md": "sk_reuseport_kern",
	"bpf_sk_lookup": "bpf_sk_lookup_kern", "bpf_perf_event_data": "bpf_perf_event_data_kern", "bpf_user_pt_regs_t": "pt_regs",
}

// ProgramFunc finds a function of a BPF program. Its context has the kernel's type. The error can
// be ErrNoTypes or ErrSeveral.
func ProgramFunc(id ebpf.ProgramID, name string) (f Func, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return f, fmt.Errorf("open the program %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return f, fmt.Errorf("query program %d: %w", id, err)
	}
	btfID, ok := info.BTFID()
	if !ok {
		return f, ErrNoTypes
	}
	raw, err := readBTF(uint32(btfID))
	if err != nil {
		return f, fmt.Errorf("read the types of the program %d: %w", id, err)
	}
	t, err := ctype.Parse(raw)
	if err != nil {
		return f, fmt.Errorf("read the types of the program %d: %w", id, err)
	}
	if f.Func, err = only(t.Funcs(name)); err != nil {
		return Func{}, err
	}
	for i := range f.Params {
		kernelContext(&f.Params[i])
	}
	return f, nil
}

// kernelContext replaces the type of a pointer to a program's context with the kernel's. Other
// parameters stay as they are.
func kernelContext(p *ctype.Param) {
	if p.Type.Kind != ctype.Pointer {
		return
	}
	if name := contextTypes[strings.TrimPrefix(p.Type.Elem().Name, "struct ")]; name != "" {
		p.CType = "struct " + name + " *"
	}
}

// getFDAttr is the part of union bpf_attr for BPF_BTF_GET_FD_BY_ID.
type getFDAttr struct{ id, next, flags uint32 }

// btfInfo is struct bpf_btf_info (4.18).
type btfInfo struct {
	btf      unsafe.Pointer
	size, id uint32
}

// readBTF returns the BTF of a BPF program by its ID.
func readBTF(id uint32) (raw []byte, err error) {
	get := getFDAttr{id: id}
	fd, err := sys.BPF(sys.CmdBTFGetFDByID, unsafe.Pointer(&get), unsafe.Sizeof(get))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.CloseFD(int(fd))) }()
	var info btfInfo
	attr := sys.InfoAttr{FD: uint32(fd), Len: uint32(unsafe.Sizeof(info)), Info: unsafe.Pointer(&info)}
	// The first call returns the size.
	if _, err := sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return nil, err
	}
	raw = make([]byte, info.size)
	info = btfInfo{btf: unsafe.Pointer(unsafe.SliceData(raw)), size: uint32(len(raw))}
	attr.Len = uint32(unsafe.Sizeof(info))
	_, err = sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(raw)
	runtime.KeepAlive(&info)
	return raw, err
}
