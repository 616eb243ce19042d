from peers import ddp, peer

__all__ = ["ddp", "peer"]
