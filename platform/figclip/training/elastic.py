"""As many workers as there is room for, of those numbers that can share the lanes evenly."""

from typing import Any

from ray.train.v2._internal.execution.scaling_policy import ElasticScalingPolicy
from ray.train.v2.api.config import ScalingConfig
from ray.train.v2.torch.torch_trainer import TorchTrainer


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`; 0 where that is below 1."""
    return max((n for n in range(1, min(most, number) + 1) if number % n == 0), default=0)


class EvenScalingPolicy(ElasticScalingPolicy):
    """Ray Train's own, which takes any number between the least and the most, rounded down.

    Nine machines train as eight where 64 lanes are to be shared: an epoch's order is cut into a
    fixed number of lanes, and every worker owns as many.
    """

    def __init__(self, scaling_config: ScalingConfig, num_lanes: int) -> None:
        super().__init__(scaling_config)
        self._num_lanes = num_lanes

    def _count_possible_workers(self, reserved_resources: dict[str, dict[str, float]]) -> int:
        return largest_divisor(self._num_lanes, super()._count_possible_workers(reserved_resources))


class EvenTrainer(TorchTrainer):
    """A `TorchTrainer` whose elastic worker groups share `num_lanes` lanes evenly.

    Ray Train 2.60 lets a trainer choose its policy nowhere but here.
    """

    def __init__(self, *args: Any, num_lanes: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._num_lanes = num_lanes

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        config: Any = self.scaling_config
        if config.elasticity_enabled:
            parts["scaling_policy"] = EvenScalingPolicy(config, self._num_lanes)
        return super()._initialize_and_run_controller(**parts)
