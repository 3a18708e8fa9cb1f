//! Both vendors' APIs on one state, against a plain model: what one API does, the other shows or refuses by name.
//!
//! The model is written from the vendors' documents and must never use the crates that it checks, but for the forms of requests.
//!
//! * `faces`: one service in memory behind both routers; requests that are signed as clients sign them.
//! * `operations`: random operations of either API, and of the native one where a rule can say what neither vendor's can.
//! * `objects`, `specs`, `verdicts`: the model: what there is, what rules mean, what becomes of packets.
//! * `alibaba`, `huawei`, `native`: how an operation is sent, what the model expects of it, and what each API must show.
//! * `hostile`: requests of the Huawei API that are wrong in some way are refused in its form and change nothing.

mod alibaba;
mod both;
mod faces;

mod hostile;
mod huawei;
mod native;
mod objects;
mod operations;
mod packets;
mod shown;
mod specs;
mod verdicts;
