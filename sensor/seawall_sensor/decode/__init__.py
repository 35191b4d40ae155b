"""Records of the kernel into the events of `seawall.domain.runtime_events`, one subject per file."""

from seawall_sensor.decode.decoder import Decoder

__all__ = ["Decoder"]
