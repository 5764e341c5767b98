import { type handleUnaryCall, type ServiceError, status } from "@grpc/grpc-js";

/** Turns a function into a gRPC handler. What it throws becomes code Unknown with the message as
 * details, as with the official plugins. */
export function unary<Request, Response>(
  answer: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => answer(call.request))
      .then(
        (response) => callback(null, response),
        (reason: unknown) => {
          const details = reason instanceof Error ? reason.message : String(reason);
          const error: Partial<ServiceError> = { code: status.UNKNOWN, details };
          callback(error);
        },
      );
  };
}
