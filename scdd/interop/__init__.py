"""What others made and what others read: checkpoints, distilled sets, label files, exports."""
