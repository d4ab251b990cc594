"""The pages of certificates: looking, adding, requests, uploads."""
