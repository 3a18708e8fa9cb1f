//! The operations of the domain: written once, called by every face.
