"""The network: features, layers, models and kernels. It knows no database and no training."""
