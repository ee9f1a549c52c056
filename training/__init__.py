"""Train variational autoencoders and export them for serving: `python -m training fit|evaluate|export|report`."""
