//! Blobs: content-addressed, on a local folder by default; the gateway over HTTP.
