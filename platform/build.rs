//! Sets `cfg(production)` unless the build is simulated, so that the sources never name the simulator's runtime.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(production)");
    if std::env::var_os("CARGO_CFG_MADSIM").is_none() {
        println!("cargo::rustc-cfg=production");
    }
}
