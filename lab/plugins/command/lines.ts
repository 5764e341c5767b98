/** Cuts a stream of bytes into lines; a last line without its line feed counts too. */
export class Lines {
  private rest = Buffer.alloc(0);

  constructor(private readonly line: (text: string) => void) {}

  write(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk]);
    for (let end = this.rest.indexOf(10); end >= 0; end = this.rest.indexOf(10)) {
      this.emit(this.rest.subarray(0, end));
      this.rest = this.rest.subarray(end + 1);
    }
  }

  end(): void {
    if (this.rest.length > 0) this.emit(this.rest);
    this.rest = Buffer.alloc(0);
  }

  private emit(bytes: Buffer): void {
    this.line(bytes.toString().replace(/\r$/, ""));
  }
}
