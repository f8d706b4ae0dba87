import pytest
from pydantic import ValidationError

from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"weight_decay": -1},
        {"momentum": 1},
        {"ema": 1},
        {"ema": -0.1},
        {"warmup_steps": -1},
        {"optimizer": "radam"},
        {"scheduler": "linear"},
        {"rate": 1},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        OptimizerSettings(**{"learning_rate": 0.1, **wrong})


def test_settings_survive_being_written_as_json():
    for settings in (OptimizerSettings(learning_rate=0.1, ema=0.999, warmup_steps=0), LossSettings(batch_dice=True)):
        assert type(settings).model_validate_json(settings.model_dump_json()) == settings
