"""Where the workers of a launcher other than Horovod's run, from what each of them says of itself."""

from collections.abc import Sequence

from pydantic import NonNegativeInt, PositiveInt

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Strict

LOOPBACK_ADDRESS = "127.0.0.1"


class Arrival(Strict, frozen=True):
    """What a worker says of itself: `rank`, then its machine's name and its number there, the processor cores it may
    use, the address it found worker 0 at, and its own address in that network.
    """

    rank: NonNegativeInt
    machine: str
    local_rank: NonNegativeInt | None
    local_size: PositiveInt | None
    cores: tuple[NonNegativeInt, ...]
    leader_address: str
    own_address: str


class Place(Strict, frozen=True):
    """A worker's place: its number on its machine and that of its machine, as Horovod counts; the address to be reached
    at; and which of how many workers that have the same cores it is.
    """

    machines: PositiveInt
    local_rank: NonNegativeInt
    local_size: PositiveInt
    cross_rank: NonNegativeInt
    cross_size: PositiveInt
    address: str
    core_share: NonNegativeInt
    core_shares: PositiveInt


def find_places(arrivals: Sequence[Arrival]) -> list[Place]:
    """Returns the place of every worker, in the order of `arrivals`, which is that of their ranks.

    Raises UserError where launcher and machines do not agree on who runs where.
    """
    neighbours = {each.rank: [other for other in arrivals if other.machine == each.machine] for each in arrivals}
    local_ranks = {}
    for each in arrivals:
        together = neighbours[each.rank]
        if each.local_size not in (None, len(together)):
            raise UserError(
                f"the launcher says that {each.local_size} of the workers run on the machine of worker {each.rank}, "
                f"but {len(together)} call theirs {each.machine}; give every machine a name of its own"
            )
        local_ranks[each.rank] = together.index(each) if each.local_rank is None else each.local_rank
    machines = len({each.machine for each in arrivals})
    # Worker 0 and those beside it are reached as the first from elsewhere reached it.
    first = next((each.leader_address for each in arrivals if each.machine != arrivals[0].machine), LOOPBACK_ADDRESS)
    places = []
    for each in arrivals:
        peers = [rank for rank, local_rank in local_ranks.items() if local_rank == local_ranks[each.rank]]
        sharing = [other.rank for other in neighbours[each.rank] if other.cores == each.cores]
        places.append(
            Place(
                machines=machines,
                local_rank=local_ranks[each.rank],
                local_size=len(neighbours[each.rank]),
                cross_rank=peers.index(each.rank),
                cross_size=len(peers),
                address=first if each.machine == arrivals[0].machine else each.own_address,
                core_share=sharing.index(each.rank),
                core_shares=len(sharing),
            )
        )
    return places
