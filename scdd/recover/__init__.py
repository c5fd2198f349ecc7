"""Recovery: images optimised from noise until a frozen teacher sees its own BN statistics."""
