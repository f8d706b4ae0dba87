"""Sliding window, test-time augmentation, and the way back to the scan's own grid."""
