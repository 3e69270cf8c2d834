package crypt

import "crypto/elliptic"

// sm2P256 is the recommended curve of SM2 (GB/T 32918.5-2017), y² = x³ - 3x + b, on the standard library's generic
// arithmetic. A library's tables and assembler for it would be 150 kB.
var sm2P256 elliptic.Curve = &elliptic.CurveParams{
	Name:    "SM2-P256",
	BitSize: 256,
	P:       hexInt("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"),
	N:       hexInt("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"),
	B:       hexInt("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"),
	Gx:      hexInt("32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"),
	Gy:      hexInt("bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"),
}
