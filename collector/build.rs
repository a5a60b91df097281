//! Links the program with its relocations packed: they are a twentieth of it. The packed form needs
//! glibc 2.36 or musl 1.2.4.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
