// Package act certifies drives for this kind of database: it loads a device as
// the database would, measures, and says whether the device is good enough.
//
//	Config ──▶ Rates ──▶ streams ──▶ schedule: when each operation is due
//	                                     │
//	  loop (one pinned thread a CPU): due ──▶ ioring ──▶ completed, verified
//	                                     │
//	  recorder: service (submitted to completed), response (due to completed),
//	            generator lateness (due to submitted), errors, wrong data
//	                                     │ once a second
//	  watch ──▶ slices ──▶ Rules ──▶ Verdict: PASS, FAIL, INVALID or ERROR
//	                                     │
//	  Result ──▶ text, JSON, JSONL, hlog, CSV, JUnit, HTML, log in ACT's format
//
// The load model and the pass rule are those of ACT 6, whose configuration
// files are read unchanged and whose logs can be judged (ParseLog, JudgeLog).
// Arrivals are an open loop: an operation is due at its moment whatever the
// device does, so that a device that stops answering is not asked less.
//
// Time is an argument everywhere below the command: on ioring/sim a run of an
// hour takes seconds and is the same each time.
package act
