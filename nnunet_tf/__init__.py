"""Training, prediction and evaluation of U-Nets for medical segmentation with TensorFlow and Keras."""
