// Package numa knows where the machine's processors, memory and devices are,
// and puts threads and memory there.
//
//	/sys/devices/system/{node,cpu} ──Read──▶ Topology ──▶ which CPUs a loop may use
//	                                                        │
//	         the loop's thread  ◀── Pin ────────────────────┤
//	         the loop's memory  ◀── Bind ───────────────────┘
//
// Topology is read from an fs.FS, so that tests bring machines of their own.
// On a machine without NUMA (or where sysfs is hidden) there is one node, 0,
// with every CPU.
package numa
