//! Has the linker note a hash of what it links, by which `program` knows one build from another.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
    println!("cargo::rerun-if-changed=build.rs");
}
