"""What a run tells while it goes on: metrics, curves, pictures, validation, position."""
