"""What of its machine a worker may use."""

import os
from dataclasses import dataclass
from pathlib import Path

from nnunet_tf.launch.ranks import local_rank, local_size, other_launcher


@dataclass(frozen=True)
class MachineShare:
    """The number of a worker's GPU among those that it sees; and of how many workers on the same cores it is which."""

    gpu: int
    core_share: int
    core_shares: int


def take_share(folder: Path, interface: str | None) -> MachineShare:
    """Returns the share of this process; one that mpirun or srun started meets the others in `folder` first.

    `interface` is that of the network they talk over, None for one that leads from each to worker 0. Raises UserError
    where they do not find each other.
    """
    other = other_launcher()
    if other is None:
        return MachineShare(local_rank(), local_rank(), local_size())
    from nnunet_tf.launch.mpi.rendezvous import meet

    place = meet(other, folder, interface)
    # A launcher that deals out GPUs shows each process its own and no other.
    sees_one = len([word for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word]) == 1
    return MachineShare(0 if sees_one else place.local_rank, place.core_share, place.core_shares)
