from nnunet_tf.training.cross_validation import cross_validate
from tests.nnunet_tf.training.test_run import make_job

SCRIPT = "import sys; print(*sys.argv[2:], file=open(sys.argv[1], 'a'))"


def test_a_worker_that_does_not_lead_takes_part_in_every_fold_and_gathers_nothing(tmp_path, capfd):
    script, said = tmp_path / "train.py", tmp_path / "said"
    script.write_text(SCRIPT)
    job = make_job(tmp_path, tmp_path / "task90_2d", "unet", 1)
    assert cross_validate(job, [str(script), str(said)], resume=False, leads=False) is None
    assert said.read_text().splitlines() == [f"--no-cross-validate --fold {fold} --no-resume" for fold in range(5)]
    assert capfd.readouterr().out == ""
    assert not list(tmp_path.rglob("cross_validation.json"))
