import pytest
from pydantic import ValidationError

from nnunet_tf.networks.settings import NetworkSettings


def test_a_model_folder_that_names_no_network_holds_nnunets():
    older = '{"encoder":"residual","norm":"batch","negative_slope":0.2,"deep_supervision":true}'
    settings = NetworkSettings.model_validate_json(older)
    assert settings == NetworkSettings(encoder="residual", norm="batch", negative_slope=0.2, deep_supervision=True)
    assert settings.network == "nnunet"


@pytest.mark.parametrize(
    "wrong", [{"network": "vnet"}, {"padding": "full"}, {"width": 1}, {"negative_slope": 1}], ids=str
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        NetworkSettings(**wrong)
