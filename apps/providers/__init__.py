"""Who supplies the products: providers, pools of activation keys, connectors that provision."""
