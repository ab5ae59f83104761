module github.com/ashlardb/ashlar/arch/hash/_asm

go 1.26
