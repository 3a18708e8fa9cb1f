//! scratch
use sg_userspace::kernel::*;
#[test]
fn load() {
    let mut d = Datapath::load(&Options::default()).unwrap_or_else(|e| panic!("{e}"));
    println!("{:?}", d.verified_instructions());
}
