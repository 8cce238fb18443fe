"""The way of a request to Lucca and back: admitted, sent, judged, tried again."""
